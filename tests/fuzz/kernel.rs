//! Lines of the kernel's log: what has been told of kills by one line is not told otherwise by a later one.

use node::oom::kills;

pub(crate) const WORDS: &[&str] = &[
    "sh invoked oom-killer: gfp_mask=0xcc0",
    "memory: usage 32768kB, limit 32768kB, failcnt 35",
    "memory: usage ",
    "kB, limit ",
    "9007199254740988",
    "oom-kill:constraint=CONSTRAINT_MEMCG,",
    "oom-kill:constraint=CONSTRAINT_NONE,",
    "task_memcg=/kubepods/burstable/poda1b2/",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    ",task=",
    "Memory cgroup out of memory: Killed process ",
    "Out of memory: Killed process ",
    " (my,(task=)) total-vm:9kB, anon-rss:8kB, file-rss:0kB, shmem-rss:0kB",
    "18446744073709551615kB",
    "\n",
];

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let id = "b".repeat(64);
    let of_container = format!(
        "sh invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0\nmemory: usage 32768kB, limit 32768kB, failcnt 35\n\
         oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/kubepods/burstable/poda1b2/{id},task=tail,pid=412,uid=0\n\
         Memory cgroup out of memory: Killed process 412 (tail) total-vm:33220kB, anon-rss:31000kB, file-rss:700kB, shmem-rss:24kB"
    );
    let of_machine = "python invoked oom-killer: order=0\noom-kill:constraint=CONSTRAINT_NONE,task_memcg=/system.slice/db.service,task=db,pid=7\n\
                      Out of memory: Killed process 7 (db) total-vm:9kB, anon-rss:8kB";
    let both = format!("{of_container}\n{of_machine}\n{of_container}");
    vec![
        of_container.into_bytes(),
        of_machine.as_bytes().to_vec(),
        both.into_bytes(),
    ]
}

pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    let told = kills(lines.iter().copied());
    let ends = lines.iter().filter(|line| line.contains("Killed process "));
    assert!(told.len() <= ends.count(), "{told:?}");
    for kill in &told {
        assert_eq!((kill.count, kill.process.is_some()), (1, true), "{kill:?}");
    }
    let half = kills(lines.iter().copied().take(lines.len() / 2));
    assert!(told.starts_with(&half), "{half:?} and then {told:?}");
}
