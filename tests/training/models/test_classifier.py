from types import SimpleNamespace

import torch

from contracts.texts import MAX_TEXT_CHARACTERS
from training.models.classifier import torch_probabilities


def test_texts_are_shortened_before_they_are_tokenised() -> None:
    lengths = []

    def tokenizer(texts: list[str], **options: object) -> dict[str, torch.Tensor]:
        lengths.extend(map(len, texts))
        return {"input_ids": torch.zeros(len(texts), 3)}

    def model(input_ids: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=input_ids)

    texts = ["short", "y" * (MAX_TEXT_CHARACTERS + 1)]
    assert torch_probabilities(model, tokenizer, texts).shape == (2, 3)
    assert lengths == [5, MAX_TEXT_CHARACTERS]
