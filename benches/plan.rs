//! Loading, checking and planning a definition of 1,000 hosts: what every command does first.

use std::fmt::Write as _;
use std::hint::black_box;

use cap_std::ambient_authority;
use cap_std::fs_utf8::Dir;
use criterion::{Criterion, criterion_group, criterion_main};
use imgbuild::config::{Builtin, Definition};
use imgbuild::plan::{self, Selection};

/// A host as operators write them: network, two users, a file, units.
fn host(number: usize) -> String {
    let mut text = String::from("version = 1\ntimezone = \"Europe/Berlin\"\nkargs = [\"net.ifnames=1\"]\n");
    writeln!(text, "[network.uplink]\nmac = \"52:54:00:00:{:02x}:{:02x}\"\ndhcp = true", number / 256, number % 256)
        .unwrap();
    text.push_str("[network.lan]\ninterface = \"ens4\"\naddress = [\"192.0.2.1/24\"]\ndns = [\"192.0.2.53\"]\n");
    for user in ["ada", "grace"] {
        writeln!(text, "[users.{user}]\nshell = \"/bin/bash\"\nssh-keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMAO7blZkx9CRF35kL9a6PAxbg8nYoZIN+VRgSu6Te8X {user}\"]").unwrap();
    }
    text.push_str(
        "[[file]]\npath = \"/etc/motd\"\ncontent = \"managed\\n\"\n[units]\nenable = [\"nftables.service\"]\n",
    );
    text
}

fn project(hosts: usize) -> (tempfile::TempDir, Dir) {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(temp.path().to_str().unwrap(), ambient_authority()).unwrap();
    dir.write("imgbuild.toml", "version = 1\nname = \"fleet\"\nbase = \"edge\"\n").unwrap();
    dir.create_dir_all("tiers/edge").unwrap();
    let tier = "version = 1\ntier = 2\nbase = \"debian\"\nmodules = [\"jool\"]\npackages = [\"curl\"]\n";
    dir.write("tiers/edge/tier.toml", tier).unwrap();
    dir.create_dir_all("hosts").unwrap();
    for number in 0..hosts {
        dir.write(format!("hosts/host-{number:04}.toml"), host(number)).unwrap();
    }
    (temp, dir)
}

fn thousand_hosts(criterion: &mut Criterion) {
    let (_temp, dir) = project(1000);
    criterion.bench_function("load and plan 1000 hosts", |bench| {
        bench.iter(|| {
            let definition = Definition::load(&dir, &Builtin::compiled()).unwrap();
            let selection = Selection::all(&definition);
            black_box(plan::resolve(&definition, "amd64", None, selection).steps.len())
        });
    });
}

criterion_group!(benches, thousand_hosts);
criterion_main!(benches);
