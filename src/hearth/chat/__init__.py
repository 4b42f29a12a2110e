"""Text in, text out: tokenizer, chat templates, streaming, stop strings, thinking blocks, conversations."""
