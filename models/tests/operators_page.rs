//! The book's page of operators is made from the importer's own table.
//!
//! To write it anew: `PROVENN_WRITE_PAGES=1 cargo test -p provenn-models --test operators_page`.

use provenn_models::onnx::{OPERATORS, OPSETS};
use std::fmt::Write;

fn page() -> String {
    let mut page = format!(
        "# Operators\n\n\
         What `provenn commit` reads of an ONNX file, operator sets {} to {}. This page is made from the importer's\n\
         table by the test `models/tests/operators_page.rs`. `provenn inspect model.onnx` says it of a model at hand,\n\
         node by node.\n\n\
         A model has one input and one output. Shapes are fixed; a dynamic leading axis of the input becomes 1.\n\
         *Constant* is what does not depend on the input: initializers, constants, shapes, and what is computed from\n\
         them. Nodes that the output does not depend on are ignored. An operator or attribute that is not supported is\n\
         refused by the node's name.\n\n\
         | operator | supported |\n|---|---|\n",
        OPSETS.0, OPSETS.1
    );
    for operator in OPERATORS {
        writeln!(page, "| {} | {} |", operator.name, operator.limits).unwrap();
    }
    page
}

#[test]
fn the_page_of_operators_is_the_importers_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/operators.md");
    if std::env::var_os("PROVENN_WRITE_PAGES").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page(), "docs/src/operators.md is out of date: see {}", file!());
}
