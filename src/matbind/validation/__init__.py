"""What must hold for structures, densities of states, powder patterns and texts; what does not goes to quarantine.

Each modality's file reduces its table to one summary row a material and lists what is expected of the rows' columns.
"""
