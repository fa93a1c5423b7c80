"""What tests share: models, studies, oracles that share no code with elastic, and processes that are forked."""
