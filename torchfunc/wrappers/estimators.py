"""Estimators: a model with the `fit`, `predict` and `score` that scikit-learn asks of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from torchfunc.errors import DataError, MissingExtraError, TorchfuncError, explain
from torchfunc.models import Model


class _Estimator:
    """A model that scikit-learn can fit, clone and search over.

    Args:
        model: a compiled Model, of which each `fit` trains a copy, or a function `(X, y, **model_kwargs)` that
            makes one.
        warm_start: whether a `fit` goes on with the model of the last one.
        model_kwargs: further arguments of that function.
        fit_kwargs: arguments of `Model.fit`.

    Attributes:
        model_: the model that was fitted.
        history_: the History of that `fit`.
    """

    _kind: str

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: Mapping[str, Any] | None = None,
        fit_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.model, self.warm_start = model, warm_start
        self.model_kwargs, self.fit_kwargs = model_kwargs, fit_kwargs

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {name: getattr(self, name) for name in _ARGUMENTS}

    def set_params(self, **params: Any) -> Any:
        """Set arguments of the constructor.

        Raises:
            TorchfuncError: a name that is none of theirs.
        """
        for name, value in params.items():
            if name not in _ARGUMENTS:
                got = f"the parameter {name!r}"
                raise TorchfuncError(explain(type(self).__name__, got=got, expected=", ".join(_ARGUMENTS)))
            setattr(self, name, value)
        return self

    def __sklearn_clone__(self) -> Any:
        params = self.get_params()
        if isinstance(self.model, Model):
            params["model"] = copy.deepcopy(self.model)
        return type(self)(**params)

    def __sklearn_tags__(self) -> Any:
        utils = _sklearn("utils")
        tags = utils.Tags(
            estimator_type=self._kind, target_tags=utils.TargetTags(required=True), non_deterministic=True
        )
        tags.classifier_tags = utils.ClassifierTags() if self._kind == "classifier" else None
        tags.regressor_tags = utils.RegressorTags() if self._kind == "regressor" else None
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def fit(self, X: Any, y: Any = None, **kwargs: Any) -> Any:
        """Train a model on `X` (n, features) and `y` (n,) or (n, outputs); `kwargs` are those of `Model.fit`.

        Raises:
            TorchfuncError: a model that is not compiled.
        """
        X, y = np.asarray(X), self._targets(np.asarray(y))
        self.n_features_in_ = X.shape[1] if X.ndim > 1 else 1
        if not (self.warm_start and hasattr(self, "model_")):
            self.model_ = self._new_model(X, y)
        self.history_ = self.model_.fit(X, y, **{**(self.fit_kwargs or {}), **kwargs})
        return self

    def _new_model(self, X: Any, y: Any) -> Model:
        is_model = isinstance(self.model, Model)
        made: Any = (
            copy.deepcopy(self.model) if is_model else self.model(X=X, y=y, **(self.model_kwargs or {}))
        )
        if getattr(made, "trainer", None) is None:
            raise TorchfuncError(
                explain(type(self).__name__, got="a model that is not compiled", fix="model.compile(...)")
            )
        model: Model = made
        return model

    def _targets(self, y: Any) -> Any:
        self._flat = y.ndim == 1
        return y.reshape(-1, 1) if self._flat else y

    def predict(self, X: Any) -> Any:
        """What the fitted model gives for `X`, in the shape of the targets."""
        found = np.asarray(self._fitted().predict(np.asarray(X), verbose=0))
        return found[:, 0] if self._flat and found.ndim == 2 and found.shape[1] == 1 else found

    def _fitted(self) -> Model:
        if not hasattr(self, "model_"):
            raise TorchfuncError(explain(type(self).__name__, got="no fit before", fix="fit(X, y)"))
        return self.model_


_ARGUMENTS = ("model", "warm_start", "model_kwargs", "fit_kwargs")


def _sklearn(part: str) -> Any:
    try:
        import sklearn.metrics
        import sklearn.utils
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "examples", "An estimator") from error
    return getattr(sklearn, part)


class SKLearnRegressor(_Estimator):
    """A regressor of scikit-learn that is a model.

    Args:
        model: a compiled Model, of which each `fit` trains a copy, or a function `(X, y, **model_kwargs)`
            that makes one.
        warm_start: whether a `fit` goes on with the model of the last one.
        model_kwargs: further arguments of that function.
        fit_kwargs: arguments of `Model.fit`.

    Example:
        >>> x = Input((1,))
        >>> line = Model(x, layers.Dense(1)(x))
        >>> line.compile(optimizers.Adam(0.3), loss="mse")
        >>> X, y = np.array([[0.0], [1.0], [2.0]], "float32"), np.array([1.0, 3.0, 5.0], "float32")
        >>> found = wrappers.SKLearnRegressor(line, fit_kwargs={"epochs": 120, "verbose": 0}).fit(X, y)
        >>> found.score(X, y) > 0.95
        True
    """

    _kind = "regressor"

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The coefficient of determination."""
        return float(_sklearn("metrics").r2_score(y, self.predict(X), sample_weight=sample_weight))


class SKLearnClassifier(_Estimator):
    """A classifier of scikit-learn that is a model with one output a class.

    Args:
        model: a compiled Model, of which each `fit` trains a copy, or a function `(X, y, **model_kwargs)` that
            makes one; `y` is one-hot.
        warm_start: whether a `fit` goes on with the model of the last one.
        model_kwargs: further arguments of that function.
        fit_kwargs: arguments of `Model.fit`.

    Attributes:
        classes_: the labels, sorted.

    Example:
        >>> def make(X, y):
        ...     x = Input((X.shape[1],))
        ...     made = Model(x, layers.Dense(y.shape[1], activation="softmax")(x))
        ...     made.compile(optimizers.Adam(0.1), loss="categorical_crossentropy")
        ...     return made
        >>> X, y = np.array([[0.0], [1.0], [0.1], [0.9]], "float32"), np.array(["no", "yes", "no", "yes"])
        >>> found = wrappers.SKLearnClassifier(make, fit_kwargs={"epochs": 60, "verbose": 0}).fit(X, y)
        >>> found.predict([[0.0], [1.0]]), found.score(X, y)
        (array(['no', 'yes'], dtype='<U3'), 1.0)
    """

    _kind = "classifier"

    def _targets(self, y: Any) -> Any:
        self._flat = True
        labels = y.reshape(len(y), -1)
        if labels.shape[1] != 1:
            raise DataError(
                explain("SKLearnClassifier", got=f"targets of shape {y.shape}", expected="one label a sample")
            )
        self.classes_, places = np.unique(labels[:, 0], return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(explain("SKLearnClassifier", got="one class", expected="at least two"))
        return np.eye(len(self.classes_), dtype=np.float32)[places]

    def decision_function(self, X: Any) -> Any:
        """The outputs of the model (n, classes)."""
        return np.asarray(self._fitted().predict(np.asarray(X), verbose=0))

    predict_proba = decision_function

    def predict(self, X: Any) -> Any:
        """The label of the largest output."""
        return self.classes_[self.decision_function(X).argmax(-1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of labels that are right."""
        return float(_sklearn("metrics").accuracy_score(y, self.predict(X), sample_weight=sample_weight))


class SKLearnTransformer(_Estimator):
    """A transformer of scikit-learn whose features are the outputs of a model.

    Args:
        model: a compiled Model, of which each `fit` trains a copy, or a function `(X, y, **model_kwargs)`
            that makes one.
        warm_start: whether a `fit` goes on with the model of the last one.
        model_kwargs: further arguments of that function.
        fit_kwargs: arguments of `Model.fit`.

    Example:
        >>> x = Input((3,))
        >>> features = Model(x, layers.Dense(2)(x))
        >>> features.compile(loss="mse")
        >>> X = np.ones((4, 3), "float32")
        >>> wrappers.SKLearnTransformer(features, fit_kwargs={"verbose": 0}).fit_transform(X, X[:, :2]).shape
        (4, 2)
    """

    _kind = "transformer"

    def transform(self, X: Any) -> Any:
        """The outputs of the fitted model."""
        return np.asarray(self._fitted().predict(np.asarray(X), verbose=0))

    def fit_transform(self, X: Any, y: Any = None, **kwargs: Any) -> Any:
        """`fit`, and then `transform` of the same samples."""
        return self.fit(X, y, **kwargs).transform(X)
