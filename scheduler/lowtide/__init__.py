"""The brain: submit -> plan -> dispatch -> sample -> settle -> report."""
