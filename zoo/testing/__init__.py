"""What every family and every data set must pass, ours and a plugin's: checks that fail with what is to be done.

A plugin calls them from its own tests::

    def test_family():
        check_family(MyFamily, {"inputs": 3}, MyData().rows("train").some(64))

They import what they need when they run: Keras and scikit-learn, and for the graphs TensorFlow, tf2onnx and ONNX Runtime.
"""

from zoo.testing.dataset_checks import check_dataset
from zoo.testing.family_checks import check_family

__all__ = ["check_dataset", "check_family"]
