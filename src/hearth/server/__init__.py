"""HTTP: the routes that OpenAI's and Anthropic's clients speak, and the private chat page. One process, one machine."""
