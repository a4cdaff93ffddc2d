//! `clipdb check`: verifies a data folder whose server is stopped, and reports every corrupt item.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clipdb_api::engine::{
    CheckMode, CheckReport, EngineSettings, Finding, FindingKind, check_folder,
};

#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Data folder; its server must be stopped
    #[arg(
        long,
        env = "CLIPDB_DATA",
        default_value = "./data",
        value_name = "DIR"
    )]
    data: PathBuf,

    /// Rebuild indexes, remove leftovers, and move corrupt documents aside so that the others can be
    /// served; nothing that can still be read is lost
    #[arg(long)]
    repair: bool,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Exit code 0: everything is intact or repaired. 1: something is corrupt. 2: the check failed.
pub fn run(arguments: &CheckArguments) -> ExitCode {
    let settings = EngineSettings {
        data: arguments.data.clone(),
        ..EngineSettings::default()
    };
    let mode = if arguments.repair {
        CheckMode::Repair
    } else {
        CheckMode::Verify
    };
    match check_folder(&settings, mode) {
        Ok(checked) => {
            if arguments.json {
                println!("{}", as_json(&checked));
            } else {
                print(&checked, arguments);
            }
            ExitCode::from(u8::from(!is_intact(&checked)))
        }
        Err(error) => {
            eprintln!("clipdb: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether no data is lost. Leftovers of a crash and repaired items count as intact; a document that
/// was set aside does not.
fn is_intact(checked: &CheckReport) -> bool {
    checked.set_aside.is_empty()
        && checked.findings.iter().all(|finding| match finding.kind {
            FindingKind::Damage | FindingKind::Derived => finding.repaired.is_some(),
            FindingKind::Lost => false,
            FindingKind::Leftover | FindingKind::Note => true,
        })
}

fn as_json(checked: &CheckReport) -> serde_json::Value {
    serde_json::json!({
        "whole": is_intact(checked),
        "format": checked.format,
        "documents": checked.documents,
        "images": checked.images,
        "findings": checked.findings,
        "set_aside": checked.set_aside,
    })
}

fn print(checked: &CheckReport, arguments: &CheckArguments) {
    for finding in &checked.findings {
        println!("{}", line(finding));
    }
    for path in &checked.set_aside {
        println!("set aside: {}", path.display());
    }
    let format = checked.format.map_or_else(
        || "no format".to_owned(),
        |format| format!("format {format}"),
    );
    println!(
        "{}: {format}, {} intact documents, {} images: {}",
        arguments.data.display(),
        checked.documents,
        checked.images,
        match (is_intact(checked), arguments.repair) {
            (true, _) => "everything is intact",
            (false, false) => "something is damaged; run again with --repair",
            (false, true) => "something is damaged beyond repair, as listed above",
        }
    );
}

fn line(finding: &Finding) -> String {
    let kind = match finding.kind {
        FindingKind::Damage => "damaged",
        FindingKind::Lost => "lost",
        FindingKind::Derived => "damaged (derived)",
        FindingKind::Leftover => "leftover",
        FindingKind::Note => "note",
    };
    let collection = (finding.collection.as_ref())
        .map_or_else(String::new, |name| format!(" collection {name}:"));
    let repaired =
        (finding.repaired.as_ref()).map_or_else(String::new, |repaired| format!("; {repaired}"));
    format!(
        "{kind}:{collection} {}: {}{repaired}",
        finding.what, finding.reason
    )
}
