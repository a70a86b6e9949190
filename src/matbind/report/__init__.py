"""Every table and figure of the experiment as files, and one page that tells what was found."""
