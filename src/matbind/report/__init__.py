"""Every table and figure of the experiment as files, and one page of the results."""
