"""From a config node to the component that it describes, and to the settings of it that can change a result."""

from typing import Any

from hydra.utils import get_class, instantiate


def build(node: Any) -> Any:
    """The component of a config node; its arguments are plain values, lists, dicts and components."""
    return instantiate(node, _convert_="all")


def result_settings(node: Any, by_content: bool = True) -> Any:
    """A component's settings without those that change its speed only (the class lists them in `speed_only`).

    `by_content`: a component with a `fingerprint()` has its `path` (or what it lists in `in_fingerprint`) replaced by
    it, for content counts, not where it lies.
    """
    if isinstance(node, list):
        return [result_settings(item, by_content) for item in node]
    if not isinstance(node, dict):
        return node
    settings = {key: result_settings(value, by_content) for key, value in node.items()}
    if "_target_" in node:
        component = get_class(node["_target_"])
        for key in getattr(component, "speed_only", ()):
            settings.pop(key, None)
        if by_content and hasattr(component, "fingerprint"):
            for key in getattr(component, "in_fingerprint", ("path",)):
                settings.pop(key, None)
            settings["fingerprint"] = build(node).fingerprint()
    return settings
