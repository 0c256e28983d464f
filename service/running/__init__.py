"""The jobs of one process, from the claim to the end and the clearing up after.

runner      claims queued jobs while there is room, runs them, writes down how each ended
run         one job's run: its command, its journal, its end
recovery    what a process that died has left: killed, and told as lost
orphans     processes of jobs, found by their mark or their session
sweep       what a stopped job left outside of its process group
retention   ended jobs and their output, forgotten after a time
"""
