"""`model.chat`: film and instruction are a user's turn of the tokenizer's chat template."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fedmrg_core.errors import ConfigError
from fedmrg_core.models.language.huggingface import own_tokenizer
from fedmrg_core.models.tokenizer import ReportTokenizer
from tests.toy import toy_config

TEMPLATE = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}<end>{% endfor %}[assistant]"


def tokenizer(checkpoint: Path, chat: str) -> ReportTokenizer:
    return own_tokenizer(toy_config("fedavg", f"lm={checkpoint}", f"chat={chat}").model, checkpoint)


def spoken(found: ReportTokenizer) -> list[str]:
    return [found.inner.decode(ids, skip_special_tokens=False) for ids in found.around("report:")]


def test_the_template_surrounds_film_and_instruction(language_checkpoint: Path, tmp_path: Path) -> None:
    plain = spoken(tokenizer(language_checkpoint, "no"))
    assert plain == ["", "report:"]
    assert spoken(tokenizer(language_checkpoint, "auto")) == plain
    with pytest.raises(ConfigError, match=r"model\.chat = yes, but the tokenizer of lm=.* has no chat template"):
        tokenizer(language_checkpoint, "yes")
    folder = shutil.copytree(language_checkpoint, tmp_path / "chat")
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    for chat in ("auto", "yes"):
        assert spoken(found := tokenizer(folder, chat)) == ["[user]", "report:<end>[assistant]"]
        assert found.end in found.around("report:")[1], "the end of the user's turn is one token"
    assert spoken(tokenizer(folder, "no")) == plain
    (folder / "chat_template.jinja").write_text("[assistant]")
    with pytest.raises(ConfigError, match="drops what a user says"):
        tokenizer(folder, "yes")
