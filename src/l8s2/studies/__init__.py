"""What harmonised imagery is good for, asked of imagery of one's own: a figure, a table, a paragraph."""
