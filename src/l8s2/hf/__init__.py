"""``import l8s2.hf`` and transformers' AutoModel opens UNets of the published family.

No code from their folder is run.
"""

from transformers import AutoConfig, AutoModel

from l8s2.hf.modeling import s2l8hConfig, s2l8hModel

AutoConfig.register("s2l8hModel", s2l8hConfig, exist_ok=True)
AutoModel.register(s2l8hConfig, s2l8hModel, exist_ok=True)

__all__ = ["s2l8hConfig", "s2l8hModel"]
