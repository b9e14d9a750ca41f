package tarn.bench;

import java.io.File;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.RunnableFuture;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.runtime.checkpoint.CheckpointOptions;
import org.apache.flink.runtime.state.CheckpointStorageAccess;
import org.apache.flink.runtime.state.CheckpointStorageLocationReference;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.SharedStateRegistryImpl;
import org.apache.flink.runtime.state.SnapshotResult;
import org.apache.flink.runtime.state.storage.FileSystemCheckpointStorage;

/** A first checkpoint of a counter for each key, five more, each after 1 % of them changed, and a restore. */
final class Checkpoints {
    private static final int CHANGED_PER_MILLE = 10;
    private static final int NEXT_COUNT = 5;

    private final Slot slot;
    private final CheckpointStorageAccess storage;
    private final SharedStateRegistryImpl shared = new SharedStateRegistryImpl();
    private ValueState<Long> counts;
    private KeyedStateHandle last;
    private long id;

    private Checkpoints(Slot slot) throws Exception {
        this.slot = slot;
        File directory = new File(slot.directory, "checkpoints").getAbsoluteFile();
        storage =
                new FileSystemCheckpointStorage(directory.toURI())
                        .createCheckpointStorage(slot.environment.getJobID());
        storage.initializeBaseLocationsForCheckpoint();
        counts = slot.state(new ValueStateDescriptor<>("count", Long.class));
    }

    private void countUp(long key) throws Exception {
        slot.backend.setCurrentKey(key);
        Long count = counts.value();
        counts.update(count == null ? 1 : count + 1);
    }

    /** Answers a JSON object. */
    private String take() throws Exception {
        id++;
        var location =
                storage.resolveCheckpointStorageLocation(
                        id, CheckpointStorageLocationReference.getDefault());
        var place =
                new File(slot.directory, "checkpoints/" + slot.environment.getJobID() + "/chk-" + id);
        place.mkdirs();
        long beginNs = System.nanoTime();
        RunnableFuture<SnapshotResult<KeyedStateHandle>> running =
                slot.backend.snapshot(
                        id,
                        System.currentTimeMillis(),
                        location,
                        CheckpointOptions.forCheckpointWithDefaultLocation());
        long heldNs = System.nanoTime();
        running.run();
        last = running.get().getJobManagerOwnedSnapshot();
        long endNs = System.nanoTime();
        last.registerSharedStates(shared, id);
        ((CheckpointListener) slot.backend).notifyCheckpointComplete(id);
        return String.format(
                "{\"sync_ms\":%.3f,\"async_ms\":%.3f,\"uploaded_bytes\":%d,\"total_bytes\":%d}",
                (heldNs - beginNs) / 1e6,
                (endNs - heldNs) / 1e6,
                last.getCheckpointedSize(),
                last.getStateSize());
    }

    static String run(Slot slot, long keyCount, long seed) throws Exception {
        Checkpoints checkpoints = new Checkpoints(slot);
        for (long rank = 0; rank < keyCount; rank++) {
            slot.backend.setCurrentKey(Workload.mix(rank));
            checkpoints.counts.update(1L);
        }
        String first = checkpoints.take();
        long random = seed;
        List<String> next = new ArrayList<>();
        for (int n = 0; n < NEXT_COUNT; n++) {
            for (long i = 0; i < keyCount * CHANGED_PER_MILLE / 1000; i++) {
                random += 0x9e3779b97f4a7c15L;
                checkpoints.countUp(
                        Workload.mix(Long.remainderUnsigned(Workload.mix(random), keyCount)));
            }
            next.add(checkpoints.take());
        }
        slot.close();
        long beginNs = System.nanoTime();
        slot.open(List.of(checkpoints.last));
        checkpoints.counts = slot.state(new ValueStateDescriptor<>("count", Long.class));
        slot.backend.setCurrentKey(Workload.mix(0));
        long count = checkpoints.counts.value();
        double restoreMs = (System.nanoTime() - beginNs) / 1e6;
        if (count < 1) {
            throw new IllegalStateException("the restored state is not what was there");
        }
        return String.format(
                "{\"first\":%s,\"next\":[%s],\"restore_ms\":%.1f}",
                first, String.join(",", next), restoreMs);
    }
}
