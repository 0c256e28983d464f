"""The jobs of one process, from the claim to the end and the clearing up after.

runner      what others ask of it: submit, wait, cancel, signal, drain, leave
slots       how many more may run            claiming   takes them out of the queue
starting    starts their commands            run        one job's run: command, journal, end
recording   writes down how it went          sweep      what a stopped job left behind is killed
recovery    what a process that died has left: killed, and told as lost
orphans     processes of jobs, found by their mark or their session
command     what every command gets          outcome    how it ended, in a job's words
succession  a process that follows another goes on with its jobs
handover    what the guard holds of each run, for the next process to go on with
stdin       what is sent to a running command, or given to it
cgroups     a cgroup for each job, where there is a place for them
retention   ended jobs and their output, forgotten after a time
"""
