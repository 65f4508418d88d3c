//! Writes what is generated in `docs`: the JSON schemas of the definition's files and the page of codes.
//!
//! To be run at the repository's top level.

use std::io;

use cap_std::ambient_authority;
use cap_std::fs_utf8::Dir;
use cap_std_ext::dirext::CapStdExtDirExtUtf8;
use imgbuild::build::codes;
use imgbuild::config::schema;

fn main() -> io::Result<()> {
    let root = Dir::open_ambient_dir(".", ambient_authority())?;
    root.create_dir_all("docs/schema")?;
    for (name, value) in schema::all() {
        let mut text = serde_json::to_string_pretty(&value)?;
        text.push('\n');
        root.atomic_write(format!("docs/schema/{name}"), text)?;
    }
    root.atomic_write("docs/codes.md", codes::markdown())?;
    Ok(())
}
