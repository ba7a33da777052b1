"""dgr: how much reasoning does safety alignment cost a reasoning model, and what makes it cheaper?"""
