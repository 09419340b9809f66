"""The rehearsal of writes under seeded differences: mutants of the rules, and many clients that race.

mutants         the differences: a table
mutated_rules   a rule that is replaced for a time, in this process
hunt            random writes until one touches a mutant: that write must be judged `different`
__main__        `make rehearsal-mutants`: all of them
soak            `make rehearsal-soak`: mixed writes on few keys through two proxies, without a false alarm
"""
