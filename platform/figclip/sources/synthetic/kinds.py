"""Every kind of image that the miniature draws."""

from figclip.sources.synthetic.charts import BARS, LINES
from figclip.sources.synthetic.clinical_plots import SCATTER, SURVIVAL
from figclip.sources.synthetic.ct import CT
from figclip.sources.synthetic.diagrams import FLOW, HEAT
from figclip.sources.synthetic.fluorescence import FLUORESCENCE
from figclip.sources.synthetic.gels import GEL
from figclip.sources.synthetic.histology import HISTOLOGY
from figclip.sources.synthetic.mri import MRI
from figclip.sources.synthetic.scenes import Kind
from figclip.sources.synthetic.ultrasound import ULTRASOUND
from figclip.sources.synthetic.xrays import XRAY

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
