"""A language model as transformers saves one, small enough to be made in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WIDTH = 16
LONGEST = 24
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "Pd", "Ti", "is", "cubic", ".", "O", "O3", "[MASK]")


def save_tiny_bert(directory: Path) -> Path:
    """Save a BERT of two layers, 16 wide, for 24 tokens, and a tokenizer of twelve words; the weights are random."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    tokenizer: Any = BertTokenizerFast(vocab={word: i for i, word in enumerate(WORDS)}, do_lower_case=False)
    tokenizer.save_pretrained(directory)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=LONGEST,
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        BertModel(config).save_pretrained(directory)
    return directory
