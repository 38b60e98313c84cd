"""Generate ``configuration.md`` from the table of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from catalog.config.table import SETTINGS, SOURCES, VARIABLES
from docs.generate_reference.markdown import bullet, code, escape, fence, front, sentences

if TYPE_CHECKING:
    from catalog.config.table import Setting

__all__ = ["page"]

_INTRO = """\
The plugin `catalog` in `mkdocs.yml` configures a catalog; the rest of the file is
[MkDocs configuration](https://www.mkdocs.org/user-guide/configuration/). Paths are relative to the folder of
`mkdocs.yml`. An unknown key is an error that suggests the closest known key.

```yaml
plugins:
  - catalog:
      store: .catalog/catalog.sqlite
      sources:
        - manifests: manifests
        - repo: alice.example.org
```

A dot separates nested keys: `previews.samples` is the key `samples` of the map `previews`."""


def page() -> str:
    """Return the page as Markdown."""
    parts = front("Configuration", _INTRO, "`catalog/config/table.py`")
    parts += ["", "## Settings"]
    for setting in SETTINGS:
        parts += ["", f"### `{setting.name}`", "", *_setting(setting)]
    parts += ["", "## Source types", "", "Each entry of `sources` is one of these, with its value."]
    for kind in SOURCES:
        text = sentences(escape(kind.purpose), f"Value: {kind.value}")
        parts += ["", f"### `sources: {kind.name}`", "", text, "", fence(f"sources:\n  - {kind.example}", "yaml")]
    parts += ["", "## Environment variables", "", "An empty variable is treated as unset."]
    for others, text in ((False, "Specific to this package:"), (True, "Shared with other tools:")):
        parts += ["", text, ""]
        for one in VARIABLES:
            if one.others == others:
                default = "" if one.default == "nothing" else f"Default: {escape(one.default)}"
                parts.append(bullet(code(one.name), escape(one.purpose), f"Value: {escape(one.value)}", default))
    return "\n".join(parts) + "\n"


def _setting(setting: Setting) -> list[str]:
    limits = "" if setting.least is None else f"from {setting.least:,} to {setting.most:,}"
    kind = ", ".join(part for part in (setting.kind, limits) if part)
    default = "nothing" if setting.default is None else code(_yaml(setting.default))
    facts = sentences(f"Type: {kind}", f"Default: {default}")
    return [escape(setting.purpose), "", escape(facts), "", fence(setting.example, "yaml")]


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=200).strip().removesuffix("...").strip()
