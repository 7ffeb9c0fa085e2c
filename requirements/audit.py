"""Known vulnerabilities of locked versions, as pip-audit finds them.

    python requirements/audit.py <lock> [<lock> ...]

Ends with 1 if there are any, and with 2 if advisories could not be read: then nothing
is known, which pip-audit alone would call none. What a lock has for other versions of
Python than the one that runs this is not looked up.

Authors
 * The speechbrain-can developers 2026
"""

import json
import subprocess
import sys


def audit(lock):
    """What pip-audit prints of a lock as JSON, None if it could not do its work."""
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--progress-spinner=off"),
            *("--disable-pip", "--require-hashes", "--format=json"),
            *("--requirement", lock),
        ],
        capture_output=True,
        text=True,
    )
    try:
        return json.loads(result.stdout)["dependencies"]
    except ValueError:
        print(result.stderr.strip()[-2000:], file=sys.stderr)
        return None


def judge(lock, packages):
    """What to print, and how to end."""
    if not packages or all("skip_reason" in p for p in packages):
        return f"{lock}: not audited: no index of advisories was reached", 2
    unknown = [p["name"] for p in packages if "skip_reason" in p]
    found = [
        f"{p['name']} {p['version']}: {advisory['id']}, mended in "
        f"{', '.join(advisory['fix_versions']) or 'no version'}"
        for p in packages
        for advisory in p.get("vulns", [])
    ]
    audited = len(packages) - len(unknown)
    python = "Python {}.{}".format(*sys.version_info)
    lines = [
        *found,
        f"{lock}: {audited} of {len(packages)} packages for {python} audited, "
        f"{len(found)} known vulnerabilities",
    ]
    if unknown:
        lines.append(
            f"not audited, for the index does not know them: {', '.join(unknown)}"
        )
    return "\n".join(lines), 1 if found else 2 if unknown else 0


if __name__ == "__main__":
    ended = [judge(lock, audit(lock)) for lock in sys.argv[1:]]
    print("\n".join(text for text, _ in ended))
    # vulnerabilities before what is not known
    sys.exit(min((status for _, status in ended if status), default=0))
