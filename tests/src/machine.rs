//! The machine of a measurement, and a process's memory.

use std::fs;

/// One line: processor, cores, memory.
pub fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&cpu, "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let gib = kibibytes(&memory, "MemTotal") as f64 / f64::from(1 << 20);
    format!(
        "{model}, {cores} cores, {gib:.0} GiB of memory, {}",
        std::env::consts::OS
    )
}

/// The resident memory of a process, in MiB.
pub fn resident(pid: u32) -> f64 {
    status(pid, "VmRSS")
}

/// The peak of its resident memory, in MiB.
pub fn resident_peak(pid: u32) -> f64 {
    status(pid, "VmHWM")
}

fn status(pid: u32, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    kibibytes(&text, name) as f64 / 1024.0
}

fn kibibytes(text: &str, name: &str) -> u64 {
    field(text, name)
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
