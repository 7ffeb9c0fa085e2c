"""Known vulnerabilities of locked versions, as pip-audit finds them.

    python requirements/audit.py <lock> [<argument of pip-audit> ...]

Ends with 1 if there are any, and with 2 if advisories could not be read: then nothing
is known, which pip-audit alone would call none.

Authors
 * The speechbrain-can developers 2026
"""

import json
import subprocess
import sys


def audit(lock, arguments=()):
    """What pip-audit prints of a lock as JSON, None if it could not do its work."""
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--progress-spinner=off"),
            *("--disable-pip", "--require-hashes", "--format=json"),
            *("--requirement", lock, *arguments),
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
    lines = [
        *found,
        f"{lock}: {audited} of {len(packages)} packages audited, "
        f"{len(found)} known vulnerabilities",
    ]
    if unknown:
        lines.append(
            f"not audited, for the index does not know them: {', '.join(unknown)}"
        )
    return "\n".join(lines), 1 if found else 2 if unknown else 0


if __name__ == "__main__":
    text, status = judge(sys.argv[1], audit(sys.argv[1], sys.argv[2:]))
    print(text)
    sys.exit(status)
