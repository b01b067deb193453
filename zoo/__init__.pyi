from . import interpret as interpret
from .errors import ZooError as ZooError
from .interpret.attribution.explain import explain as explain
from .loading import load as load
from .model.registry import get_spec as get_spec
from .model.registry import list_models as list_models
from .model.registry import register_family as register_family
from .model.registry import register_path as register_path
from .workflows.anomalies import find_anomalies as find_anomalies
from .workflows.calibrate import calibrate as calibrate
from .workflows.ensemble import ensemble as ensemble
from .workflows.fill_maps import fill_maps as fill_maps
from .workflows.fine_tune import fine_tune as fine_tune
from .workflows.formulae import save_formulae as save_formulae
from .workflows.nle import train_nle as train_nle
from .workflows.npe import train_npe as train_npe
from .workflows.posterior_report import posterior_report as posterior_report
from .workflows.push import push as push
from .workflows.unfolding.closure import closure_test as closure_test
from .workflows.unfolding.unfold import unfold as unfold

__version__: str
