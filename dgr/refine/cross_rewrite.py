"""Another model says each sample in its words: any fluent model's against the target's own."""

from dataclasses import dataclass

from dgr.model import TargetModel
from dgr.naming import choices
from dgr.refine import RefineContext
from dgr.refine.rewrite import Rewrite


@dataclass(frozen=True)
class CrossRewrite(Rewrite):
    """DGR with `rewriter`, a choice of the model group, in the target's place; `model` is what that choice says.

    Prompts are rendered and replies taken apart in the rewriter's own chat format and sampled with its own settings.
    Everything after that is the target's.
    """

    rewriter: str
    model: TargetModel | None

    def problems(self) -> list[str]:
        if self.model is None:
            named = ", ".join(choices("model"))
            return [*super().problems(), f"refine.rewriter={self.rewriter}: no such model; choose one of {named}"]
        return super().problems() + [f"refine.rewriter={self.rewriter}: {text}" for text in self.model.problems()]

    def problems_with(self, target: TargetModel) -> list[str]:
        """What keeps this rewriter from writing for the target."""
        if self.model is None or self.model.language == target.language:
            return []
        named = ", ".join(choices("model", target.language))
        return [
            f"refine.rewriter={self.rewriter} writes {self.model.language} language, model={target.name} reads "
            f"{target.language}; choose one of {named}"
        ]

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        return super().hub_ids() + (self.model.hub_ids() if self.model else [])

    def writer(self, context: RefineContext) -> TargetModel:
        return self.model
