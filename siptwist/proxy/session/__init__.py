"""
Whose media is whose: offers, answers and dialogs.  Pure.
"""
