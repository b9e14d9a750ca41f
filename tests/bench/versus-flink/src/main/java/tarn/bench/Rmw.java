package tarn.bench;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.FileInputStream;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;

/** Counts up the value of each key of a file; the state begins with every key, counted once. */
final class Rmw implements Workload {
    private static final long CHECKED_KEYS_MAX = 100000;

    private final Slot slot;
    private final ValueState<Long> counts;
    private final DataInputStream input;
    private final long keyCount;
    private final long[] batch = new long[BATCH_EVENTS];
    private long checksum;

    Rmw(Slot slot, long keyCount, String path) throws Exception {
        this.slot = slot;
        this.keyCount = keyCount;
        counts = slot.state(new ValueStateDescriptor<>("count", Long.class));
        input = new DataInputStream(new BufferedInputStream(new FileInputStream(path), 1 << 20));
        for (long rank = 0; rank < keyCount; rank++) {
            slot.backend.setCurrentKey(Workload.mix(rank));
            counts.update(1L);
        }
    }

    @Override
    public void prepare(int count) throws Exception {
        for (int i = 0; i < count; i++) {
            batch[i] = Long.reverseBytes(input.readLong());
        }
    }

    @Override
    public void event(int index) throws Exception {
        slot.backend.setCurrentKey(batch[index]);
        Long count = counts.value();
        long counted = count == null ? 1 : count + 1;
        counts.update(counted);
        checksum += counted;
    }

    @Override
    public long finish() throws Exception {
        long step = keyCount / CHECKED_KEYS_MAX + 1;
        for (long rank = 0; rank < keyCount; rank += step) {
            slot.backend.setCurrentKey(Workload.mix(rank));
            Long count = counts.value();
            checksum += Workload.mix(rank) * (count == null ? 0 : count);
        }
        return checksum;
    }
}
