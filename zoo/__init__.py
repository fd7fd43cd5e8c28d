"""zoo: a model zoo whose parts are plugins and whose claims can be run.

Importing this package costs nothing: neither torch nor transformers is loaded until a model is assembled.
"""

__version__ = "0.1.0"
