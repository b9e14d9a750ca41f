package tarn.bench;

import java.util.Collections;
import java.util.Map;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;

/** One operation over and over: the workloads micro-* of tarn-bench, on the same keys and values. */
final class Micro implements Workload {
    private static final long ENTRIES = 10;

    private final Slot slot;
    private final String operation;
    private final long keyCount;
    private ValueState<Long> value;
    private ListState<Long> list;
    private MapState<Long, Long> map;
    private final long[] keys = new long[BATCH_EVENTS];
    private final long[] values = new long[BATCH_EVENTS];
    private long random;
    private long nextNew;
    private long checksum;

    Micro(Slot slot, String operation, long keyCount, long seed) throws Exception {
        this.slot = slot;
        this.operation = operation;
        this.keyCount = keyCount;
        random = seed;
        nextNew = keyCount;
        if (operation.startsWith("value-")) {
            value = slot.state(new ValueStateDescriptor<>("state", Long.class));
        } else if (operation.startsWith("list-")) {
            list = slot.state(new ListStateDescriptor<>("state", Long.class));
        } else {
            map = slot.state(new MapStateDescriptor<>("state", Long.class, Long.class));
        }
        for (long key = 0; key < keyCount; key++) {
            fill(key);
        }
    }

    private void fill(long key) throws Exception {
        long content = Workload.mix(key);
        slot.backend.setCurrentKey(key);
        if (value != null) {
            value.update(content);
        } else if (list != null) {
            list.add(content);
        } else {
            for (long entry = 0; entry < ENTRIES; entry++) {
                map.put(entry, content);
            }
        }
    }

    private long entryOf(long content) {
        return Long.remainderUnsigned(Long.divideUnsigned(content, keyCount), ENTRIES);
    }

    @Override
    public void prepare(int count) throws Exception {
        boolean isNew = operation.equals("value-add") || operation.equals("list-add");
        for (int i = 0; i < count; i++) {
            random += 0x9e3779b97f4a7c15L;
            values[i] = Workload.mix(random);
            keys[i] = isNew ? nextNew++ : Long.remainderUnsigned(values[i], keyCount);
        }
        for (int i = 0; operation.equals("map-remove") && i < count; i++) {
            slot.backend.setCurrentKey(keys[i]);
            map.put(entryOf(values[i]), values[i]);
        }
    }

    @Override
    public void event(int index) throws Exception {
        long content = values[index];
        slot.backend.setCurrentKey(keys[index]);
        switch (operation) {
            case "value-get":
                checksum += value.value();
                break;
            case "value-update":
            case "value-add":
                value.update(content);
                break;
            case "list-get":
                checksum += sumOfList();
                break;
            case "list-append":
                list.add(content);
                break;
            case "list-update":
            case "list-add":
                list.update(Collections.singletonList(content));
                break;
            default:
                useMap(content);
                break;
        }
    }

    private void useMap(long content) throws Exception {
        long entry = entryOf(content);
        switch (operation) {
            case "map-get":
                Long found = map.get(entry);
                checksum += found == null ? 0 : found;
                break;
            case "map-put":
                map.put(entry, content);
                break;
            case "map-remove":
                map.remove(entry);
                break;
            case "map-contains":
                checksum += map.contains(entry * 2) ? 1 : 0;
                break;
            default:
                checksum += sumOfMap();
                break;
        }
    }

    private long sumOfList() throws Exception {
        long sum = 0;
        Iterable<Long> elements = list.get();
        if (elements != null) {
            for (long element : elements) {
                sum += element;
            }
        }
        return sum;
    }

    private long sumOfMap() throws Exception {
        long sum = 0;
        for (Map.Entry<Long, Long> entry : map.entries()) {
            sum += entry.getValue();
        }
        return sum;
    }

    @Override
    public long finish() throws Exception {
        for (long key = 0; key < nextNew; key++) {
            slot.backend.setCurrentKey(key);
            long sum = list != null ? sumOfList() : map != null ? sumOfMap() : orZero(value.value());
            checksum += Workload.mix(key) * sum;
        }
        return checksum;
    }

    private static long orZero(Long number) {
        return number == null ? 0 : number;
    }
}
