"""The vision-language model: encoder, connector, diagnosis branch, language model, and how each is tuned."""
