//! A new SQL file changes no Rust: without this word, a build that has the crate already would leave the file out.

fn main() {
    println!("cargo:rerun-if-changed=sql");
}
