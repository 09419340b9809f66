"""(map to come)"""
