"""The optional array forms: sparse, structured, arrow tensor, safetensors. Libraries load when such a field is met."""

from __future__ import annotations

# What Python type each form is, and how a class spells it (class_from and generated code do it alike):
#
#     ndarrayBytes     numpy array          NDArray[np.uint8], or Annotated[NDArray[np.uint8], Array(shape=…)]
#     structuredBytes  numpy array          Annotated[NDArray[Any], Array(format="structuredBytes")]
#     arrowTensor      numpy array          Annotated[NDArray[np.float32], Array(shape=…, format="arrowTensor")]
#     sparseBytes      scipy sparse array   Annotated[Any, Array(dtype="float32", format="sparseBytes")]
#     safetensors      dict of arrays       Annotated[dict[str, NDArray[Any]], Array(format="safetensors")]
#
# The dtype stands inside NDArray[…] where there is an NDArray and numpy has a class for it (the first and the third),
# otherwise in Array(dtype=…). With `bytes` in the first place, Annotated[bytes, Array(format=…)], the field hands out
# the bytes as they are, whatever the form. Lists and "| None" around any of them as usual.
