"""The least recipe of clips: what tests train in a second, each with conditions of its own."""


def tiny(conditions: str = "", data: str = "", *, name: str = "moving_shapes") -> str:
    """As TOML; `data` are further lines of its section [data], of the dataset of that name."""
    return f"""
[data]
name = "{name}"
frames = 2
height = 8
width = 8
{data}
[network]
name = "unet3d"
width = 8
mults = [1]
heads = 2
head_width = 8
condition = 6
{conditions}
[task]
validation = 2
previews = 2
[train]
steps = 3
batch = 4
precision = "float32"
[sample]
steps = 2
"""
