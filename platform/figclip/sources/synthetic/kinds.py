"""Every kind of image that the miniature draws."""

from figclip.sources.synthetic.charts import BARS, LINES, SCATTER, SURVIVAL
from figclip.sources.synthetic.diagrams import FLOW, HEAT
from figclip.sources.synthetic.gels import GEL
from figclip.sources.synthetic.microscopy import FLUORESCENCE, HISTOLOGY
from figclip.sources.synthetic.scans import CT, MRI
from figclip.sources.synthetic.scenes import Kind
from figclip.sources.synthetic.xrays import ULTRASOUND, XRAY

KINDS: tuple[Kind, ...] = (
    CT,
    MRI,
    XRAY,
    ULTRASOUND,
    HISTOLOGY,
    FLUORESCENCE,
    GEL,
    BARS,
    LINES,
    SCATTER,
    SURVIVAL,
    HEAT,
    FLOW,
)
