"""The validate stage: checks, quarantine and its page."""
