"""The methods: an object each, of the family that knows how its images are made.

A new method of a family is a line in METHODS; a new family is a module beside this one.
"""

from scdd.errors import ScddError, nearest
from scdd.params.base import default_of, key_of, parameters
from scdd.params.experiment import Method
from scdd.plan.methods.base import Kind
from scdd.plan.methods.curricula import Curricula
from scdd.plan.methods.imported import Imported
from scdd.plan.methods.learned import Learned
from scdd.plan.methods.ordered import ByFeatures, ByForgetting
from scdd.plan.methods.patches import FromPatches
from scdd.plan.methods.recovery import Recovery
from scdd.plan.methods.sampled import Sampled
from scdd.plan.methods.teacher import Teacher
from scdd.plan.methods.whole import Whole

METHODS: dict[str, Kind] = {
    "scdd": Recovery("SC-DD", squeeze="mocov2"),
    "scdd-mocov3": Recovery("SC-DD, MoCo v3", squeeze="mocov3"),
    "scdd-swav": Recovery("SC-DD, SwAV", squeeze="swav"),
    "scdd-dino": Recovery("SC-DD, DINO", squeeze="dino"),
    "sre2l": Recovery("SRe2L", squeeze="supervised", preset="sre2l"),
    "cda": Recovery("CDA", squeeze="supervised", preset="cda"),
    "sre2lpp": Recovery("SRe2L++", squeeze="supervised", preset="sre2lpp"),
    "cvdd": Recovery("CV-DD", squeeze="supervised", preset="cvdd"),
    "fadrm": Recovery("FADRM", squeeze="supervised", preset="fadrm"),
    "fadrm-plus": Recovery("FADRM+", squeeze="supervised", preset="fadrm-plus"),
    "delt": Recovery("DELT", squeeze="supervised", preset="delt"),
    "gvbsm": Recovery("G-VBSM", squeeze="supervised", preset="gvbsm"),
    "edc": Recovery("EDC", squeeze="supervised", preset="edc"),
    "scdd-best": Recovery("SC-DD, best", squeeze="supervised", preset="edc"),
    "untrained": Recovery("Untrained", squeeze="untrained"),
    "rded": FromPatches("RDED"),
    "teacher": Teacher("Teacher"),
    "dc": Learned("DC", method="dc", engine="dc"),
    "dsa": Learned("DSA", method="dsa", engine="dc"),
    "dm": Learned("DM", method="dm", engine="dm"),
    "cafe": Learned("CAFE", method="cafe", engine="cafe"),
    "cafe-dsa": Learned("CAFE+DSA", method="cafe-dsa", engine="cafe"),
    "mtt": Learned("MTT", method="mtt", engine="trajectory"),
    "tesla": Learned("TESLA", method="tesla", engine="trajectory"),
    "tesla-exact": Learned("TESLA, exact", method="tesla-exact", engine="trajectory"),
    "ccfs": Curricula("CCFS"),
    "random": Sampled("Random"),
    "random-hard": Sampled("Random, hard labels", labels="hard"),
    "noise": Sampled("Noise", module="noise", is_real=False),
    "herding": ByFeatures("Herding", order="herding"),
    "kcenter": ByFeatures("k-center", order="kcenter"),
    "forgetting": ByForgetting("Forgetting", order="forgetting"),
    "whole": Whole("Whole data"),
}
# keys of a method that every kind has a use for
COMMON = {"name", "title"}


def kind_of(method: Method) -> Kind:
    """The object of a method in the configuration.

    Raises ScddError for an unknown method, and for keys that it has no use for.
    """
    if method.imported is not None:
        kind: Kind = Imported(method.title or method.name, images=method.imported)
        used = COMMON | kind.keys(method)
    else:
        if method.labels is not None:
            raise ScddError(f"methods.{method.name}.labels: they belong to images: set import too.")
        base = method.like or method.name
        if base not in METHODS:
            where = f"methods.{method.name}.like" if method.like else "methods"
            raise ScddError(f"{where}: unknown method {base!r}. {nearest(base, METHODS)}")
        kind = METHODS[base]
        used = COMMON | {"like"} | kind.keys(method)
    for name, parameter in parameters(Method).items():
        if name not in used and getattr(method, name) != default_of(parameter):
            raise ScddError(
                f"methods.{method.name}.{key_of(parameter)}: this method has no use for it."
            )
    return kind
