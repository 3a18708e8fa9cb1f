//! What compiling a policy costs, by number of rules.

#![expect(clippy::expect_used, missing_docs, reason = "a measurement that fails has nothing to go on with")]

use criterion::{Criterion, criterion_group, criterion_main};
use sg_benches::policy;
use sg_userspace::check::CompiledNic;

fn compile(criterion: &mut Criterion) {
    for rules in [10, 1_000, 10_000] {
        let policy = policy(rules, 1);
        criterion.bench_function(&format!("compile/{rules}"), |bencher| {
            bencher.iter(|| CompiledNic::new(&policy, &policy.nics()[0]).expect("the policy fits an image"));
        });
    }
}

criterion_group!(benches, compile);
criterion_main!(benches);
