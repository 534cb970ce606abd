//! The commands of the README's transcript work as they stand there, and print lines of the same kinds.

use assert_cmd::Command;
use std::path::Path;

/// A command of a `console` block and the lines that follow it.
struct Step {
    command: Vec<String>,
    output: Vec<String>,
}

/// The steps of the first transcript under a heading.
fn transcript(readme: &str, heading: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let section = readme.split(heading).nth(1).unwrap_or_default();
    let block =
        section.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step {
                command: command.split_whitespace().map(str::to_string).collect(),
                output: vec![],
            }),
            None => steps.last_mut().expect("a block starts with a command").output.push(line.to_string()),
        }
    }
    steps
}

/// Types in the transcript under a heading, of so many steps.
fn type_in(heading: &str, count: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    let steps = transcript(&std::fs::read_to_string(root.join("README.md")).expect("the README"), heading);
    assert_eq!(steps.len(), count, "{heading}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for step in steps {
        assert_eq!(step.command[0], "provenn");
        let arguments = step.command[1..].iter().map(|argument| match argument.strip_prefix("models/") {
            Some(path) => root.join("models").join(path).into_os_string(),
            None => argument.into(),
        });
        let run = Command::cargo_bin("provenn")
            .expect("the binary is built")
            .current_dir(folder.path())
            .args(arguments)
            .assert()
            .success();
        let printed = String::from_utf8(run.get_output().stdout.clone()).expect("text");
        // Figures and IDs differ from run to run; what each line is about does not.
        let labels = |lines: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            lines.filter_map(|line| line.split_whitespace().next().map(str::to_string)).collect()
        };
        if !step.output.is_empty() {
            let expected = labels(&mut step.output.iter().map(String::as_str));
            assert_eq!(labels(&mut printed.lines()), expected, "{:?}", step.command);
        }
    }
}

#[test]
fn the_readmes_transcript_can_be_typed_in() {
    type_in("\n## Use\n", 4);
}

#[test]
fn the_readmes_ledger_can_be_typed_in() {
    type_in("\n### Ledger\n", 2);
}

#[test]
fn the_readme_starts_with_the_two_commands() {
    let readme = include_str!("../../README.md");
    let first = readme.find("cargo run --release -- demo").expect("the main command");
    let second = readme.find("cargo test --release --workspace").expect("the test command");
    assert!(first < second);
}
