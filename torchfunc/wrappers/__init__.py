"""Models as estimators of scikit-learn."""

from torchfunc.wrappers.estimators import SKLearnClassifier as SKLearnClassifier
from torchfunc.wrappers.estimators import SKLearnRegressor as SKLearnRegressor
from torchfunc.wrappers.estimators import SKLearnTransformer as SKLearnTransformer
