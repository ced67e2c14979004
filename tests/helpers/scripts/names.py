"""Print what is installed beside this Python, as a package would be called that is its namesake."""

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

names = set()
for distribution in distributions():
    names.add(distribution.metadata["Name"].replace(".", "-"))
    for file in distribution.files or ():
        # A folder needs no Python in it to hide a package, and a library of C has no suffix .py.
        is_module = len(file.parts) > 1 or file.suffix in {".py", ".pyi", ".pyd", ".so"}
        if is_module and not file.parts[0].endswith((".dist-info", ".egg-info")):
            names.add(file.parts[0].partition(".")[0])
names.update(path.name.removesuffix(".exe") for path in Path(sys.executable).parent.iterdir())
packages = {name.lower().replace("-", "_") for name in names}
print(*(name for name in packages if re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", name)))
