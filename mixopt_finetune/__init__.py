"""Evaluation beyond lm-eval's tasks: fine-tuning on GLUE and SQuAD (`suite`), and BIG-bench (`bigbench`)."""
