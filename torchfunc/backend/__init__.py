"""What Keras code asks of its backend."""

from torchfunc.backend.session import clear_session as clear_session
