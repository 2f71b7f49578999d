"""Models: what graphs become."""

from torchfunc.models.cloning import clone_model as clone_model
from torchfunc.models.loading import load_model as load_model
from torchfunc.models.loading import model_from_json as model_from_json
from torchfunc.models.model import Model as Model
from torchfunc.models.sequential import Sequential as Sequential
from torchfunc.saving import save_model as save_model
