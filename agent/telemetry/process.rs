//! The process's own figures under the names every client library gives them.

use std::fs;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Registry};

/// Read anew at each scrape from `/proc/self`; a figure that cannot be read keeps its last value.
struct Process {
    cpu: Counter,
    resident: Gauge,
    resident_anonymous: Gauge,
    virtual_bytes: Gauge,
    threads: Gauge,
    open_files: Gauge,
    open_files_max: Gauge,
    started: Gauge,
}

/// Adds `process_*` to the registry. `started` is in seconds since the epoch.
pub fn register(registry: &Registry, started: f64) {
    match Process::new(started) {
        Ok(process) => {
            if let Err(error) = registry.register(Box::new(process)) {
                tracing::error!(%error, "process metrics are not shown");
            }
        }
        Err(error) => tracing::error!(%error, "process metrics are not shown"),
    }
}

/// Resident memory of this process in bytes; 0 when it cannot be read.
#[must_use]
pub fn resident_bytes() -> u64 {
    memory().map_or(0, |memory| memory.resident)
}

/// Memory of this process that no file backs, in bytes: what the kernel cannot take back; 0 when it cannot be read.
#[must_use]
pub fn anonymous_bytes() -> u64 {
    memory().map_or(0, |memory| memory.anonymous)
}

/// The limit of the cgroup this process runs in, if there is one.
#[must_use]
pub fn memory_limit_bytes() -> Option<u64> {
    let group = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = group.lines().find_map(|line| line.strip_prefix("0::"))?;
    let limit = fs::read_to_string(format!("/sys/fs/cgroup{path}/memory.max"));
    limit
        .or_else(|_| fs::read_to_string("/sys/fs/cgroup/memory.max"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

struct Memory {
    resident: u64,
    anonymous: u64,
    total: u64,
    threads: u64,
}

fn memory() -> Option<Memory> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(Memory {
        resident: field("VmRSS:")? * 1024,
        anonymous: field("RssAnon:").unwrap_or(0) * 1024,
        total: field("VmSize:")? * 1024,
        threads: field("Threads:")?,
    })
}

/// CPU seconds of all threads, user and system.
#[must_use]
pub fn cpu_seconds() -> f64 {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    usage.tv_sec as f64 + usage.tv_nsec as f64 / 1e9
}

fn open_files_max() -> Option<f64> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.map(|current| current as f64)
}

impl Process {
    fn new(started: f64) -> prometheus::Result<Self> {
        let process = Self {
            cpu: Counter::new(
                "process_cpu_seconds_total",
                "CPU time spent, user and system, in seconds.",
            )?,
            resident: Gauge::new("process_resident_memory_bytes", "Memory held in RAM, in bytes.")?,
            resident_anonymous: Gauge::new(
                "process_resident_anonymous_memory_bytes",
                "Memory held in RAM that no file backs, in bytes.",
            )?,
            virtual_bytes: Gauge::new("process_virtual_memory_bytes", "Address space in use, in bytes.")?,
            threads: Gauge::new("process_threads", "Threads of this process.")?,
            open_files: Gauge::new("process_open_fds", "Open file descriptors.")?,
            open_files_max: Gauge::new("process_max_fds", "Most file descriptors that may be open.")?,
            started: Gauge::new(
                "process_start_time_seconds",
                "When the process started, in seconds since 1970.",
            )?,
        };
        process.started.set(started);
        Ok(process)
    }

    fn read(&self) {
        self.cpu.inc_by((cpu_seconds() - self.cpu.get()).max(0.0));
        if let Some(memory) = memory() {
            self.resident.set(memory.resident as f64);
            self.resident_anonymous.set(memory.anonymous as f64);
            self.virtual_bytes.set(memory.total as f64);
            self.threads.set(memory.threads as f64);
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            self.open_files.set(files.count() as f64);
        }
        if let Some(most) = open_files_max() {
            self.open_files_max.set(most);
        }
    }

    fn all(&self) -> [Arc<dyn Collector>; 8] {
        [
            Arc::new(self.cpu.clone()),
            Arc::new(self.resident.clone()),
            Arc::new(self.resident_anonymous.clone()),
            Arc::new(self.virtual_bytes.clone()),
            Arc::new(self.threads.clone()),
            Arc::new(self.open_files.clone()),
            Arc::new(self.open_files_max.clone()),
            Arc::new(self.started.clone()),
        ]
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        [
            &self.resident,
            &self.resident_anonymous,
            &self.virtual_bytes,
            &self.threads,
        ]
        .into_iter()
        .chain([&self.open_files, &self.open_files_max, &self.started])
        .flat_map(Collector::desc)
        .chain(self.cpu.desc())
        .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        self.all().iter().flat_map(|metric| metric.collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_memory_cpu_and_files() {
        let registry = Registry::new();
        register(&registry, 12.0);
        let families = registry.gather();
        assert_eq!(families.len(), 8);
        for family in families {
            let metric = &family.get_metric()[0];
            let value = metric
                .get_gauge()
                .get_value()
                .max(metric.get_counter().get_value());
            assert!(value > 0.0, "{}", family.name());
        }
    }
}
