//! A shard as a value: commands and completions in, effects out.
