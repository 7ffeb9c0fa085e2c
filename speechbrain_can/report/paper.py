"""Results published in the paper, Tables 2 to 4."""

from typing import Dict, NamedTuple, Optional, Tuple

REFERENCE = "can"
PAPER_CORPUS = "IEMOCAP"


class Published(NamedTuple):
    """A row of the paper: mean and standard deviation over ten folds.

    Arguments
    ---------
    name : str
        Name of the system in the paper.
    WA, UA : tuple of float or None
        Mean and standard deviation on IEMOCAP; None if not published.
    """

    name: str
    WA: Optional[Tuple[float, float]] = None
    UA: Optional[Tuple[float, float]] = None

    def values(self) -> Dict[str, Tuple[float, float]]:
        """Return mean and standard deviation of the published metrics."""
        return {
            metric: value
            for metric, value in (("WA", self.WA), ("UA", self.UA))
            if value is not None
        }


# Tables 2 to 4 of the paper, by name of the hparams file
PAPER = {
    "Table 2: models": {
        "text_model": Published("TextModel", (0.513, 0.015), (0.443, 0.015)),
        "audio_model": Published("AudioModel", (0.431, 0.017), (0.323, 0.015)),
        "multi_hop": Published("Yoon et al.", (0.564, 0.020), (0.472, 0.017)),
        "learned_alignment": Published(
            "Xu et al.", (0.560, 0.028), (0.450, 0.028)
        ),
        "can": Published("CAN", (0.579, 0.019), (0.487, 0.017)),
    },
    "Table 3: segmentation": {
        "can": Published("Aligned", (0.579, 0.019), (0.487, 0.017)),
        "equal_segmentation": Published(
            "Equal", (0.568, 0.022), (0.467, 0.021)
        ),
    },
    "Table 4: ablations": {
        "can": Published("CAN", (0.579, 0.019), (0.487, 0.017)),
        "no_stop_gradient": Published(
            "- stop-gradient", (0.570, 0.018), (0.469, 0.023)
        ),
        "no_align_loss": Published("- L_align", (0.573, 0.015), (0.484, 0.017)),
        "no_stop_gradient_no_align_loss": Published(
            "- stop-gradient, L_align", (0.563, 0.015), (0.479, 0.024)
        ),
        "no_cross_attention": Published(
            "- cross attention", (0.556, 0.013), (0.458, 0.015)
        ),
    },
}
